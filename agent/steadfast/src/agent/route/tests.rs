use super::*;
use std::cell::RefCell;
use std::rc::Rc;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

/// A port whose work ends when the test says so, and that notes what it was told.
struct Slow {
    told: Rc<RefCell<Vec<u8>>>,
    ends: Rc<RefCell<Vec<oneshot::Receiver<Event>>>>,
}

impl Port for Slow {
    type Action = u8;

    async fn perform(&mut self, action: u8) -> Event {
        self.told.borrow_mut().push(action);
        let end = self.ends.borrow_mut().remove(0);
        end.await.expect("the test says so")
    }
}

/// What the test holds of one slow port.
struct Held {
    orders: UnboundedSender<Order<u8>>,
    events: UnboundedReceiver<Event>,
    told: Rc<RefCell<Vec<u8>>>,
    ends: Vec<oneshot::Sender<Event>>,
}

fn slow() -> Held {
    let (told, (heard, events)) = (Rc::default(), unbounded_channel());
    let (ends, waiting) = (0..2).map(|_| oneshot::channel()).unzip();
    let port = Slow { told: Rc::clone(&told), ends: Rc::new(RefCell::new(waiting)) };
    Held { orders: serve_newest(port, heard), events, told, ends }
}

#[tokio::test]
async fn of_work_that_was_taken_back_nothing_is_heard_any_more() {
    let test = async {
        let mut held = slow();
        held.orders.send(Order::Begin(1)).expect("it is served");
        tokio::task::yield_now().await;
        assert_eq!(*held.told.borrow(), [1]);
        held.orders.send(Order::Leave).expect("it is served");
        // It ends all the same, at the same time.
        let _ = held.ends.remove(0).send(Event::Ticked);
        held.orders.send(Order::Begin(2)).expect("it is served");
        held.ends.remove(0).send(Event::WindowOpened).expect("it is waited for");
        assert_eq!(held.events.recv().await, Some(Event::WindowOpened), "the first one heard");
        assert_eq!(*held.told.borrow(), [1, 2]);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn what_there_is_nothing_to_take_back_of_goes_on() {
    let test = async {
        let mut held = slow();
        held.orders.send(Order::Leave).expect("it is served");
        held.orders.send(Order::Begin(1)).expect("it is served");
        held.ends.remove(0).send(Event::Ticked).expect("it is waited for");
        assert_eq!(held.events.recv().await, Some(Event::Ticked));
    };
    LocalSet::new().run_until(test).await;
}
