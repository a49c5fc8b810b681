//! Which user the directory in memory finds for an address.

use otp_grant::directory::{SignUp, UserClaims, UserStore};
use otp_grant::{Address, AddressPolicy, ClientId, MemoryDirectory, Scope, Subject, User, UserStatus};
use pollster::block_on;

fn user(subject: &str) -> User {
    User::new(Subject::new(subject).unwrap(), UserStatus::Active)
}

fn phone(number: &str) -> Address {
    Address::Phone(AddressPolicy::default().phone_number(number).unwrap())
}

fn owner(directory: &MemoryDirectory, address: &Address) -> Option<String> {
    let owner = block_on(directory.user_by_address(address)).unwrap();
    owner.map(|user| user.subject.as_str().to_owned())
}

#[test]
fn each_address_leads_to_its_user_and_to_nobody_once_they_are_removed() {
    let [of_a, also_of_a, of_b, of_c] = ["13800138000", "13800138001", "13800138002", "13800138003"].map(phone);
    let directory = MemoryDirectory::new()
        .with_user(user("A"), [of_a.clone()])
        .with_user(user("B"), [of_b.clone()])
        .with_user(user("A"), [also_of_a.clone()]);
    let owners = || [&of_a, &also_of_a, &of_b, &of_c].map(|address| owner(&directory, address));
    let some = |subject: &str| Some(subject.to_owned());
    assert_eq!(owners(), [some("A"), some("A"), some("B"), None]);

    directory.remove_user(&user("A").subject);
    assert_eq!(owners(), [None, None, some("B"), None]);
    // A new user is none of the earlier users, and has none of their addresses.
    let SignUp::Accepted(newcomer) = block_on(directory.sign_up(&of_c)).unwrap() else { panic!("refused") };
    assert_eq!(owners(), [None, None, some("B"), some(newcomer.subject.as_str())]);
    directory.put_user(user("A"));
    assert_eq!(owners(), [None, None, some("B"), some(newcomer.subject.as_str())]);

    for subject in ["A", "B", newcomer.subject.as_str()] {
        let subject = Subject::new(subject).unwrap();
        let found = block_on(directory.user_by_subject(&subject)).unwrap();
        assert_eq!(found.map(|user| user.subject), Some(subject));
    }
}

#[test]
fn who_is_put_again_is_replaced() {
    let address = phone("13800138000");
    let directory = MemoryDirectory::new().with_user(user("A"), [address.clone()]);
    directory.put_user(User::new(user("A").subject, UserStatus::Locked));
    let by_address = block_on(directory.user_by_address(&address)).unwrap().unwrap();
    let by_subject = block_on(directory.user_by_subject(&user("A").subject)).unwrap().unwrap();
    assert_eq!([by_address.status, by_subject.status], [UserStatus::Locked; 2]);
}

#[test]
fn an_address_belongs_to_whom_it_was_given_last() {
    let address = phone("13800138000");
    let directory =
        MemoryDirectory::new().with_user(user("A"), [address.clone()]).with_user(user("B"), [address.clone()]);
    assert_eq!(owner(&directory, &address), Some("B".to_owned()));
    directory.remove_user(&user("A").subject);
    assert_eq!(owner(&directory, &address), Some("B".to_owned()));
    directory.remove_user(&user("B").subject);
    assert_eq!(owner(&directory, &address), None);
}

#[test]
fn who_is_removed_twice_takes_nobody_else_along() {
    let (first, second) = (phone("13800138000"), phone("13800138001"));
    let directory = MemoryDirectory::new().with_user(user("A"), [first]);
    directory.remove_user(&user("A").subject);
    let directory = directory.with_user(user("B"), [second.clone()]);
    directory.remove_user(&user("A").subject);
    assert_eq!(owner(&directory, &second), Some("B".to_owned()));
}

#[test]
fn claims_leave_with_their_user() {
    let directory = MemoryDirectory::new().with_user(user("A"), []);
    let (client, scope) = (ClientId::new("app").unwrap(), Scope::openid());
    let claims = || block_on(directory.user_claims(&user("A").subject, &client, &scope)).unwrap();
    let known = UserClaims::new().with("name", "Anne");
    directory.put_claims(user("A").subject, known.clone());
    assert_eq!(claims(), known);
    directory.remove_user(&user("A").subject);
    directory.put_user(user("A"));
    assert_eq!(claims(), UserClaims::new());
}
